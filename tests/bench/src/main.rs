//! Benchmarks against what people use today: `make bench-image`.

fn main() {}
