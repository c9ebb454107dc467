"""What is measured of answers: the table they are read from, estimates with intervals, and each measure by itself."""
