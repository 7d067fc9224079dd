//! CNI: configuration, plugin chains, results, the result cache, names. Knows nothing of containerd.
