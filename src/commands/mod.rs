//! One file per verb: typed arguments, the resolved request, one engine call, a value to render.
