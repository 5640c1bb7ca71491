//! Graph to report: receptive field, parameters, MACs, bytes.
