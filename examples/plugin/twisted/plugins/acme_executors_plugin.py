"""What twistd finds. It is read at every start of twistd: data alone, the executor is imported when it is used."""

from twisted_flow.plugin import ExecutorPlugin

reverse = ExecutorPlugin("reverse", "acme_executors:Reverse", "turns texts around")
