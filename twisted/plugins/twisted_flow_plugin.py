"""Lets twistd find ``flow``. It names what it needs and imports none of it: twistd reads this file at every start."""

from twisted.application.service import ServiceMaker

flow = ServiceMaker("Twisted Flow", "twisted_flow.tap", "Serve Python executors.", "flow")
