package edge

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// maxAnswer is how long a body may be in an answer: Lambda takes 6 MB of JSON, in which headers have their place too.
const maxAnswer = 6<<20 - 64<<10

// answer collects what a handler answers. It is an http.ResponseWriter for one call, flushed or not.
type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
	// large says that the body was beyond what a function can answer; what came after that is not kept.
	large bool
}

func newAnswer() *answer { return &answer{header: make(http.Header)} }

// Header implements http.ResponseWriter.
func (a *answer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter. Informational answers are not told to the client, as a gateway has no way for them.
func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
}

// Write implements http.ResponseWriter.
func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.large = a.large || a.body.Len()+len(p) > maxAnswer; !a.large {
		a.body.Write(p)
	}
	return len(p), nil
}

// FlushError implements what http.ResponseController looks for. Nothing goes out before all of it.
func (a *answer) FlushError() error {
	a.WriteHeader(http.StatusOK)
	return nil
}

// fits tells whether the answer can be given.
func (a *answer) fits() bool {
	return !a.large && (a.isText() || base64.StdEncoding.EncodedLen(a.body.Len()) <= maxAnswer)
}

// event is the answer as the gateway takes it.
func (a *answer) event() events.APIGatewayV2HTTPResponse {
	out := events.APIGatewayV2HTTPResponse{StatusCode: a.status, Headers: make(map[string]string, len(a.header))}
	if out.StatusCode == 0 {
		out.StatusCode = http.StatusOK
	}
	for name, values := range a.header {
		switch {
		case name == "Set-Cookie":
			out.Cookies = values
		case name == "Trailer" || name == "Connection" || strings.HasPrefix(name, http.TrailerPrefix):
			// A gateway carries no trailers, and its connections are its own.
		default:
			out.Headers[name] = strings.Join(values, ", ")
		}
	}
	if a.isText() {
		out.Body = a.body.String()
	} else {
		out.Body, out.IsBase64Encoded = base64.StdEncoding.EncodeToString(a.body.Bytes()), true
	}
	return out
}

// mostEscaped is how much longer a text may get in a JSON string: one byte becomes \u00xx.
const mostEscaped = 6

// isText tells whether the body survives in a JSON string as it is, and is not too long there. What is compressed does not.
func (a *answer) isText() bool {
	if a.header.Get("Content-Encoding") != "" || !utf8.Valid(a.body.Bytes()) {
		return false
	}
	if a.body.Len() > maxAnswer/mostEscaped {
		if quoted, err := json.Marshal(a.body.String()); err != nil || len(quoted)-len(`""`) > maxAnswer {
			return false
		}
	}
	kind, _, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	return a.body.Len() == 0 || err == nil && (kind == "application/json" || strings.HasPrefix(kind, "text/"))
}
