//! The life of a container: plan, spec, launch, supervise, teardown, recover.
