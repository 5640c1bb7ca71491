//! Generates the parser from `src/grammar.lalrpop`.

fn main() {
    println!("cargo::rerun-if-changed=src/grammar.lalrpop");
    lalrpop::Configuration::new()
        .set_out_dir(std::env::var("OUT_DIR").expect("cargo sets OUT_DIR for build scripts"))
        .emit_rerun_directives(false)
        .process_file("src/grammar.lalrpop")
        .unwrap_or_else(|error| panic!("the grammar does not generate a parser: {error}"));
}
