package edge

// CallerTimeout is callerTimeout.
var CallerTimeout = callerTimeout

// AlwaysHTTP2 makes an edge forward all calls over HTTP/2.
func AlwaysHTTP2(c *Config, always bool) { c.alwaysHTTP2 = always }
