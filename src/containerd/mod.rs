//! The one place that speaks gRPC: namespace, deadlines, error classes.
