"""Four invented repositories, served over real HTTP in the manners of the platforms that members run."""
