//! Parse, dispatch, print the error once.

fn main() {}
