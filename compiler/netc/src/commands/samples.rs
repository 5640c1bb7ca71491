//! Samples from files, as a network takes them.
//!
//! Arrays of floats are taken as they are. Bytes, from a PNG or an array, are pixels: they are made into the network's
//! input as the recipe's data source says, which is how the samples that it was trained on were made.

use std::path::Path;

use anyhow::{Context, bail};
use netc::stages::runtime::data::Sample;
use netc::stages::runtime::data::transform::{Scratch, Transform};
use netc::stages::runtime::recipe::{DataSource, Fit};
use netc::stages::runtime::{array_file, image_file};
use netc::{DType, Data, Model, Network, Shape, Tensor};

/// Reads the samples of every input, given as `[NAME=]FILE`.
pub(super) fn read_all(network: &Network, model: &Model, given: &[String]) -> anyhow::Result<Vec<(String, Tensor)>> {
    let ports: Vec<(&str, &Shape, DType)> = model.inputs().collect();
    let names: Vec<&str> = ports.iter().map(|(name, ..)| *name).collect();
    let files = files_by_name("input", given, &names)?;
    let read = |&(name, shape, dtype): &(&str, &Shape, DType)| {
        let (_, path) = files
            .iter()
            .find(|(given, _)| *given == name)
            .with_context(|| format!("no file for the input `{name}` ({shape}): give `--input {name}=X.npy`"))?;
        anyhow::Ok((name.to_owned(), read(network, path, shape, dtype)?))
    };
    ports.iter().map(read).collect()
}

/// The files by the ports they are for. A file without a name is for the only port.
pub(super) fn files_by_name<'a>(
    what: &str,
    given: &'a [String],
    ports: &[&'a str],
) -> anyhow::Result<Vec<(&'a str, &'a Path)>> {
    let mut files: Vec<(&str, &Path)> = Vec::new();
    for text in given {
        let (name, path) = match text.split_once('=') {
            Some((name, path)) if ports.contains(&name) => (name, path),
            _ => match *ports {
                [only] => (only, text.as_str()),
                _ => bail!(
                    "the network has several {what}s, {}: give `--{what} NAME=FILE`, not `{text}`",
                    list(ports)
                ),
            },
        };
        if files.iter().any(|(known, _)| *known == name) {
            bail!("two files for the {what} `{name}`");
        }
        files.push((name, Path::new(path)));
    }
    Ok(files)
}

fn list(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Reads the samples of one input, with the batch in front; `shape` and `dtype` are the input's.
fn read(network: &Network, path: &Path, shape: &Shape, dtype: DType) -> anyhow::Result<Tensor> {
    let is_png = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
    let stored = if is_png {
        let channels = if shape.rank() == 3 { shape[0] } else { 1 };
        image_file::read_png(path, channels).map_err(netc::Error::from)?
    } else {
        array_file::read_npy(path).map_err(netc::Error::from)?
    };
    let stored = with_batch(stored, shape, path)?;
    match (stored.dtype(), dtype) {
        (DType::U8, DType::F32) => from_pixels(network, &stored, shape),
        (DType::I32 | DType::I8, DType::F32) => Ok(from_integers(stored)),
        (found, wanted) if found == wanted => Ok(stored),
        (found, wanted) => bail!("{}: holds {found}, the input takes {wanted}", path.display()),
    }
}

/// Puts a batch of one in front of a single sample, and the channel of one where grey images are stored without.
fn with_batch(stored: Tensor, shape: &Shape, path: &Path) -> anyhow::Result<Tensor> {
    let found = stored.shape().extents().to_vec();
    let rank = shape.rank();
    let extents = if found.len() == rank + 1 {
        found
    } else if found.len() == rank {
        // Without the batch: one sample. Or without the channel axis, where there is one channel.
        let lacks_channel = rank > 1 && shape[0] == 1 && found[0] != 1;
        if lacks_channel {
            [&[found[0], 1], &found[1..]].concat()
        } else {
            [&[1], found.as_slice()].concat()
        }
    } else if found.len() + 1 == rank && shape[0] == 1 {
        [&[1, 1], found.as_slice()].concat()
    } else {
        bail!(
            "{}: is {}, the input takes N samples of {shape}",
            path.display(),
            stored.shape()
        );
    };
    Ok(stored
        .reshaped(extents)
        .expect("axes of one change no number of elements"))
}

fn from_integers(stored: Tensor) -> Tensor {
    let shape = stored.shape().clone();
    let values = match stored.into_data() {
        Data::I32(values) => values.into_iter().map(|value| value as f32).collect(),
        Data::F32(values) => values,
        Data::U8(values) => values.into_iter().map(f32::from).collect(),
        Data::I8(values) => values.into_iter().map(f32::from).collect(),
    };
    Tensor::from_f32(shape, values).expect("one number for each that was there")
}

fn from_pixels(network: &Network, stored: &Tensor, shape: &Shape) -> anyhow::Result<Tensor> {
    let plain = DataSource::Npy {
        path: String::new(),
        fit: Fit::None,
        mean: Vec::new(),
        std: Vec::new(),
    };
    let source = network.recipe().map_or(&plain, |recipe| &recipe.data);
    let count = stored.shape()[0];
    let sample = Shape::from(&stored.shape().extents()[1..]);
    let transform = Transform::new(source, &sample, shape).map_err(netc::Error::from)?;
    let Data::U8(bytes) = stored.data() else {
        unreachable!("called for bytes")
    };
    let room = count
        .checked_mul(transform.input_len())
        .context("more samples than memory can hold")?;
    let mut values = vec![0.0; room];
    let mut scratch = Scratch::default();
    for (pixels, out) in bytes
        .chunks_exact(sample.element_count().max(1))
        .zip(values.chunks_exact_mut(transform.input_len()))
    {
        transform.apply(Sample::Bytes(pixels), None, &mut scratch, out);
    }
    Ok(Tensor::from_f32(shape.with_batch(count), values).expect("sized for the batch"))
}
