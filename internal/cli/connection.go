package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/domicile-api/domicile/gen/domicile/operations/v1/operationsv1connect"
	"github.com/domicile-api/domicile/gen/domicile/tenancy/v1/tenancyv1connect"
	"github.com/domicile-api/domicile/internal/app"
)

// callTimeout bounds an operator's call.
const callTimeout = 15 * time.Second

// connectionFlags adds the flags by which operators' commands reach a platform.
func connectionFlags(cmd *cobra.Command) {
	cmd.PersistentFlags().String("server", "", "URL of the platform's operations port")
	cmd.PersistentFlags().String("key", "", "operator's key, do_…")
	cmd.PersistentFlags().String("data", ".domicile", "data folder of a local platform, where server and key are found")
}

// connection is how a command reaches the platform.
type connection struct {
	server, key string
	http        *http.Client
}

// connect finds server and key: the flags or variables, or else demo.json or operator.json in the data folder.
func connectTo(cmd *cobra.Command) (*connection, error) {
	server, _ := cmd.Flags().GetString("server")
	key, _ := cmd.Flags().GetString("key")
	if server == "" || key == "" {
		dir, _ := cmd.Flags().GetString("data")
		var err error
		if server, key, err = completeFrom(dir, server, key); err != nil {
			return nil, err
		}
	}
	if u, err := url.Parse(server); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, usage("--server is a URL such as http://127.0.0.1:8090")
	}
	return newConnection(server, key), nil
}

// completeFrom adds what is missing of server and key from the data folder of a local platform.
func completeFrom(dir, server, key string) (completeServer, completeKey string, err error) {
	found, err := findLocal(dir)
	if err != nil {
		return "", "", usage("no platform named: give --server and --key (or DOMICILE_SERVER and DOMICILE_OPERATOR_KEY), "+
			"or --data DIR of a running 'dev' or 'serve': %w", err)
	}
	if server == "" {
		server = found.Server
	}
	if key != "" {
		return server, key, nil
	}
	// The folder's key is for the folder's platform: another server is told no secret that it was not meant to have.
	if !sameHost(server, found.Server) {
		return "", "", usage("--server %s is not on the host of %s's platform (%s): give --key (or DOMICILE_OPERATOR_KEY) too", server, dir, found.Server)
	}
	return server, found.OperatorKey, nil
}

// sameHost tells whether two URLs are of one host, whatever the port; all loopback addresses are this one.
func sameHost(a, b string) bool {
	host := func(s string) string {
		u, err := url.Parse(s)
		if err != nil {
			return ""
		}
		if ip := net.ParseIP(u.Hostname()); u.Hostname() == "localhost" || ip != nil && ip.IsLoopback() {
			return "localhost"
		}
		return u.Hostname()
	}
	return host(a) != "" && host(a) == host(b)
}

func newConnection(server, key string) *connection {
	return &connection{server: server, key: key, http: &http.Client{Timeout: callTimeout}}
}

// findLocal reads what dev (demo.json) or serve (operator.json, the same form without tenants) wrote.
func findLocal(dir string) (app.DemoFile, error) {
	d, err := app.ReadNewestFile(dir)
	if err != nil {
		return app.DemoFile{}, fmt.Errorf("looking for the platform of %s: %w", dir, err)
	}
	return d, nil
}

func (c *connection) options() []connect.ClientOption {
	return []connect.ClientOption{connect.WithInterceptors(connect.UnaryInterceptorFunc(func(next connect.UnaryFunc) connect.UnaryFunc {
		return func(ctx context.Context, r connect.AnyRequest) (connect.AnyResponse, error) {
			r.Header().Set("Authorization", "Bearer "+c.key)
			return next(ctx, r)
		}
	}))}
}

func (c *connection) tenancy() tenancyv1connect.TenancyServiceClient {
	return tenancyv1connect.NewTenancyServiceClient(c.http, c.server, c.options()...)
}

func (c *connection) operations() operationsv1connect.OperationsServiceClient {
	return operationsv1connect.NewOperationsServiceClient(c.http, c.server, c.options()...)
}

// explainError turns an RPC error into a text that says what to do, and an exit code.
func explainError(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*codedError](err); ok {
		return err
	}
	var ce *connect.Error
	if !errors.As(err, &ce) {
		return refused(err)
	}
	var text strings.Builder
	text.WriteString(ce.Message())
	reason := ""
	for _, d := range ce.Details() {
		v, err := d.Value()
		if err != nil {
			continue
		}
		switch v := v.(type) {
		case *errdetails.ErrorInfo:
			reason = v.GetReason()
		case *errdetails.BadRequest:
			for _, f := range v.GetFieldViolations() {
				_, _ = fmt.Fprintf(&text, "\n  %s: %s", f.GetField(), f.GetDescription()) // A Builder never fails.
			}
		}
	}
	if reason == "" {
		return unreachable(fmt.Errorf("the platform does not answer (is it running?): %s", &text))
	}
	return refused(fmt.Errorf("%s: %s", reason, &text))
}
