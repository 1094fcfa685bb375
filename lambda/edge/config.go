package edge

import (
	"log/slog"
	"strings"

	"github.com/domicile-api/domicile/internal/ident"
)

// Config is what the function's environment says. FromEnvironment reads it.
type Config struct {
	// Region is the region of the function, AWS_REGION.
	Region ident.RegionID
	// Deployment is the deployment's name, DOMICILE_DEPLOYMENT; empty: domicile.
	Deployment string
	// Topology is the path of the topology, DOMICILE_TOPOLOGY; empty: topology.bin in the function's folder.
	Topology string
	// Snapshots is the bucket with the last good copy of the directory, DOMICILE_SNAPSHOTS; empty: there is none.
	Snapshots string
	// OwnHosts are names of the platform that stand for no tenant, beside those of the regions: the global one. DOMICILE_OWN_HOSTS, with commas
	// between.
	OwnHosts []string
	// LogLevel is DOMICILE_LOG_LEVEL; warnings and worse unless it says otherwise.
	LogLevel slog.Level

	// accessKey, secretKey and session are the credentials of the function's role, endpoint another address of AWS than its own.
	accessKey, secretKey, session, endpoint string
}

// FromEnvironment reads the variables that Lambda and the infrastructure set. Nothing is missing that New would not say.
func FromEnvironment(lookup func(string) (string, bool)) Config {
	get := func(name, otherwise string) string {
		if value, ok := lookup(name); ok && value != "" {
			return value
		}
		return otherwise
	}
	level := slog.LevelWarn
	if err := level.UnmarshalText([]byte(get("DOMICILE_LOG_LEVEL", "warn"))); err != nil {
		level = slog.LevelWarn
	}
	return Config{
		Region: ident.RegionID(get("AWS_REGION", "")), Deployment: get("DOMICILE_DEPLOYMENT", ""), Snapshots: get("DOMICILE_SNAPSHOTS", ""),
		Topology:  get("DOMICILE_TOPOLOGY", get("LAMBDA_TASK_ROOT", ".")+"/topology.bin"),
		LogLevel:  level,
		OwnHosts:  strings.FieldsFunc(get("DOMICILE_OWN_HOSTS", ""), func(r rune) bool { return r == ',' || r == ' ' }),
		accessKey: get("AWS_ACCESS_KEY_ID", ""), secretKey: get("AWS_SECRET_ACCESS_KEY", ""), session: get("AWS_SESSION_TOKEN", ""),
		endpoint: get("AWS_ENDPOINT_URL", ""),
	}
}
