//! What is seen, over time: counts of labels.
