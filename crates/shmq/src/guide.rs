//! The guides: how to wait, to operate and to move from other queues, and to pass messages on exactly once; how it works and what the file looks like.
//!
//! [`shmq-pool`](https://docs.rs/shmq-pool/latest/shmq_pool/guide/) and
//! [`shmq-raw`](https://docs.rs/shmq-raw/latest/shmq_raw/guide/) have their own.

/// Modules that are nothing but a document. A document names another as `[text][FILE.md]`, and says at its end
/// where that is; what is said here comes first and leads to the page instead.
macro_rules! guides {
    ($($name:ident $path:literal;)*) => {$(
        #[doc = concat!(
            "[DESIGN.md]: crate::guide::design\n",
            "[DESIGN.md#a-hostile-peer]: crate::guide::design#a-hostile-peer\n",
            "[DESIGN.md#crash-states]: crate::guide::design#crash-states\n",
            "[FORMAT.md]: crate::guide::format\n",
            "[FORMAT.md#after-a-crash]: crate::guide::format#after-a-crash\n",
            "[WAITING.md]: crate::guide::waiting\n",
            "[WAITING.md#adaptive-polling]: crate::guide::waiting#adaptive-polling\n",
            "[WAITING.md#stopping]: crate::guide::waiting#stopping\n",
            "[BENCHMARKS.md#adaptive-polling]: https://docs.rs/crate/shmq/latest/source/docs/BENCHMARKS.md\n",
            "[BENCHMARKS.md#lines-rewritten-or-left]: https://docs.rs/crate/shmq/latest/source/docs/BENCHMARKS.md\n",
            "[BENCHMARKS.md#asleep-one-queue-many-awaited]: https://docs.rs/crate/shmq/latest/source/docs/BENCHMARKS.md\n",
            "[BENCHMARKS.md#how-to-read-it]: https://docs.rs/crate/shmq/latest/source/docs/BENCHMARKS.md\n",
            "[CORRECTNESS.md#memory-model]: https://docs.rs/crate/shmq/latest/source/docs/CORRECTNESS.md\n",
            "[TOUR.md]: https://docs.rs/crate/shmq/latest/source/docs/TOUR.md\n",
            "[POOL.md]: https://docs.rs/shmq-pool/latest/shmq_pool/guide/\n",
            "[RAW.md]: https://docs.rs/shmq-raw/latest/shmq_raw/guide/\n",
        )]
        #[doc = include_str!($path)]
        pub mod $name {}
    )*};
}

guides! {
    waiting "../docs/WAITING.md";
    migration "../docs/MIGRATION.md";
    testing "../docs/TESTING.md";
    operations "../docs/OPERATIONS.md";
    pipeline "../docs/PIPELINE.md";
    design "../docs/DESIGN.md";
    format "../docs/FORMAT.md";
}
