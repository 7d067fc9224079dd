//! Doing the same to several objects at once.
//!
//! Invariant: one that fails keeps none of the others from being done; results keep the order given.

use futures_util::future::join_all;

use crate::model::class::Failure;

/// What came of each object, in the order given.
pub type Each<T> = Vec<Result<T, Failure>>;

/// Does `work` to each of the objects, side by side.
pub async fn each<O: Clone, T>(
    objects: &[O],
    work: impl AsyncFn(O) -> Result<T, Failure>,
) -> Each<T> {
    join_all(objects.iter().map(|object| work(object.clone()))).await
}
