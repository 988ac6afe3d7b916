"""HTTP: routes declared on a Klein app, and a lane in front of it for plain requests to them."""
