"""What people look at: figures, the HTML report, the timeline for Perfetto."""
