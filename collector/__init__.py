"""The collector verifies sealed batches, stores them, decides what they mean, shows the fleet and routes alarms to tickets."""
