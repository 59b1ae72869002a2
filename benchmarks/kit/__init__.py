"""The measuring kit: workload, engines, measurement, agreement and report. Standard library only."""
