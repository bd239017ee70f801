"""Documents made of the inventory of data assets, in the formats of other tools. No I/O."""
