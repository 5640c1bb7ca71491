//! Any text as a network: a graph or diagnostics, and no panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netc::{Error, Network, Style};

fuzz_target!(|text: &str| {
    match Network::parse(text) {
        Ok(network) => {
            let formatted = netc::stages::syntax::format(text).expect("what lowers has parsed");
            let again = Network::parse(&formatted).expect("formatting changes no meaning");
            assert_eq!(network.report(), again.report());
        }
        Err(error @ Error::Mistakes { .. }) => assert!(!error.render(Style::Plain).is_empty()),
        Err(other) => panic!("a text has only mistakes: {other}"),
    }
});
