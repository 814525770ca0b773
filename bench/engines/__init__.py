"""Ways to run the same model, one file each, behind one interface; `table.py` lists them."""
