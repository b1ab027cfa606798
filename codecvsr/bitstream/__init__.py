"""Reading and writing video streams: pictures and what the codec says about them. Nothing of torch here."""
