//! Any bytes as an ONNX model: a network or a message, never a panic, and no more memory than the model's size allows.
//!
//! Valid models are changed in a few bytes, cut, or put together from parts of two. The bounded run for every day; the seed
//! and number of a case are in the message of a failing one. One test, since the allocator is everybody's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use netc::stages::diagnostics::{Sources, Style};
use netc::stages::onnx::{ImportOptions, import};
use netc::stages::runtime::random::Stream;

mod dice;

use dice::Dice;

/// Cases for each model.
const CASES: u64 = 400;
/// Most memory that an import may take beyond the size of its model.
const MOST_BYTES: usize = 64 << 20;

/// The system's allocator, which knows how much is taken and how much was.
struct Counting;

static TAKEN: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: usize) {
    let taken = TAKEN.fetch_add(bytes, Ordering::Relaxed) + bytes;
    MOST.fetch_max(taken, Ordering::Relaxed);
}

// SAFETY: every call is handed to the system's allocator as it came.
#[expect(unsafe_code, reason = "an allocator is unsafe to write")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the promises that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        TAKEN.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(start, layout) }
    }
}

fn models() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/onnx");
    let entries = |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries(folder.join("models")).collect();
    found.extend(entries(folder.join("conformance")).map(|test| test.join("model.onnx")));
    found.retain(|path| path.extension().is_some_and(|extension| extension == "onnx"));
    found.sort();
    found
}

fn mutated(bytes: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    match dice.below(10) {
        0 => changed.truncate(dice.below(bytes.len())),
        1 => {
            changed.truncate(dice.below(bytes.len()));
            changed.extend_from_slice(&other[dice.below(other.len())..]);
        }
        _ => {
            for _ in 0..=dice.below(4) {
                let place = dice.below(changed.len());
                // Small numbers and high bits are what lengths and types are made of.
                changed[place] = match dice.below(4) {
                    0 => dice.below(256) as u8,
                    1 => changed[place] ^ (1 << dice.below(8)),
                    2 => dice.below(8) as u8,
                    _ => 0xff,
                };
            }
        }
    }
    changed
}

#[test]
fn changed_models_never_panic_nor_take_much_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.onnx");
    let models: Vec<Vec<u8>> = models().iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(models.len() >= 20, "the folder of models has moved");
    let (mut imported, mut refused, mut lowered) = (0, 0, 0);
    for (number, bytes) in models.iter().enumerate() {
        for case in 0..CASES {
            let stream = Stream::new(case, &format!("model {number}"));
            let mut dice = Dice::new(stream);
            let other = &models[dice.below(models.len())];
            let changed = mutated(bytes, other, &mut dice);
            std::fs::write(&path, &changed).unwrap();
            let before = TAKEN.load(Ordering::Relaxed);
            MOST.store(before, Ordering::Relaxed);
            let mut text = None;
            match import(&path, &ImportOptions::default()) {
                Ok(found) => {
                    imported += 1;
                    text = Some(found.text);
                }
                Err(found) => {
                    refused += 1;
                    assert!(found.render(&Sources::new(), Style::Plain).starts_with("error[E07"));
                }
            }
            let taken = MOST.load(Ordering::Relaxed) - before;
            assert!(
                taken <= MOST_BYTES + changed.len(),
                "model {number}, case {case}: {taken} bytes for a model of {}",
                changed.len()
            );
            // What was imported is text as any other: it parses, and is a network or a mistake that is told.
            if let Some(text) = text {
                netc::stages::syntax::format(&text).unwrap_or_else(|_| panic!("{number} {case}: {text}"));
                lowered += usize::from(netc::Network::parse(&text).is_ok());
            }
        }
    }
    assert!(
        lowered * 100 >= imported * 95 && refused > 0,
        "{imported} imported, {lowered} of them lowered, {refused} refused"
    );
}
