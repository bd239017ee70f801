"""Progressive evaluation: the whole system beside what people would use instead, on what shoppers did."""
