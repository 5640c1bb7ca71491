//! The netc compiler as a library and a command line.
