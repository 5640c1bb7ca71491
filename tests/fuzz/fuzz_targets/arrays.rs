//! Any bytes as a NumPy array: a tensor or an error, and no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = netc_runtime::array_file::decode_npy(bytes);
});
