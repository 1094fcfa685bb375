// Package domicile has the types that a product built on Domicile meets first: a Service, which is a Connect service with the
// entities that it stores, and the Runtime that it is registered with.
//
// A product lists its services once and runs them:
//
//	func main() { run.Main(profile.Service(), ledger.Service()) }
package domicile

import (
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile/entity"
)

// Runtime is what a region gives a service at registration.
type Runtime struct {
	// Entities makes the repositories of the service's entities: entity.New[*profilev1.User](rt.Entities).
	Entities *entity.Engine
	// HandlerOptions go to the generated NewXServiceHandler. They are the platform's interceptors, codecs and limits. A service
	// that is registered without them would answer without asking for a credential, so the platform refuses to start with it.
	HandlerOptions []connect.HandlerOption
}

// Service is a Connect service of a product.
type Service struct {
	// Name is how the command line and the logs call it, e.g. "profile".
	Name string
	// Entities has one value of each entity type that the service stores.
	Entities []proto.Message
	// Register makes the service's handler for one region. It returns what the generated NewXServiceHandler returns: the path
	// that the handler is mounted on, "/package.Service/", and the handler.
	Register func(Runtime) (path string, handler http.Handler, err error)
}
