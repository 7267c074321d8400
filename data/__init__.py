"""The corpora that come with the series: the tales, their grammar, the dates, and a small trained model."""
