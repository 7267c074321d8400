"""The corpora that come with the series: the tales, their grammar, and a small trained model."""
