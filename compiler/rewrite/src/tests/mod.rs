//! Tests of the whole crate: every rule on random samples, random graphs, networks, and extraction against brute force.

mod extraction;
mod facts;
mod families;
mod graphs;
mod networks;
mod oracle;
mod pieces;
mod samples;
