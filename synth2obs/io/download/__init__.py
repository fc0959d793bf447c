"""Native files of surveys from their public archives: resumable, verified, polite."""
