"""The drill: a scratch hospital on real processes, attacked mid-traffic and recovered, measured from outside."""
