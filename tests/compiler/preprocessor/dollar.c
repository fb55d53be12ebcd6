$x $ y$z
