"""Model code as it is saved with each version: it must run where battery_platform is not installed."""
