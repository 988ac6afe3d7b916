"""How an executor is called: one module for each rule. Each wraps a dispatcher and is one."""
