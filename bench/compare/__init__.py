"""The side-by-side: every engine in every round, reduced to medians, and to ratios within a round."""
