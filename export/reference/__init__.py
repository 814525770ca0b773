"""The models once more, in numpy and float64, from their definitions: what exports are held against."""
