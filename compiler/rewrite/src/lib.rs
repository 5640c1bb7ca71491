//! Graph to better graph, by equality saturation.
