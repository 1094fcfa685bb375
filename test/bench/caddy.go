package main

import (
	"encoding/json"
	"fmt"
	"os"
)

// caddyAdmin is the offset of the port of Caddy's own API, which has its metrics as well.
const caddyAdmin = 23

// object is JSON.
type object = map[string]any

// writeCaddyConfig makes Caddy forward by the tenant that a header names. Its map directive goes through its entries one by one, so that a
// million of them would measure that and nothing else: it gets the one entry that is asked for, which is Caddy at its best.
func writeCaddyConfig(path string, at ports) error {
	const upstream = "{upstream}"
	forward := func(version string) object {
		return object{
			"handler": "reverse_proxy", "upstreams": []object{{"dial": upstream}},
			"transport": object{"protocol": "http", "versions": []string{version}, "keep_alive": object{"max_idle_conns_per_host": 512}},
		}
	}
	lookup := object{
		"handler": "map", "source": "{http.request.header.Domicile-Tenant}", "destinations": []string{upstream},
		"mappings": []object{{"input": caller, "outputs": []string{at.at(homePort)}}},
	}
	grpc := []object{{"header": object{"Content-Type": []string{"application/grpc*"}}}}
	config := object{
		"admin":   object{"listen": at.at(caddyAdmin)},
		"logging": object{"logs": object{"default": object{"level": "ERROR"}}},
		"apps": object{"http": object{"servers": object{"bench": object{
			"listen": []string{at.at(caddyPort)}, "protocols": []string{"h1", "h2c"}, "automatic_https": object{"disable": true},
			"routes": []object{
				{"handle": []object{lookup}},
				{"match": grpc, "handle": []object{forward("h2c")}, "terminal": true},
				{"handle": []object{forward("1.1")}, "terminal": true},
			},
		}}}},
	}
	data, err := json.Marshal(config)
	if err != nil {
		return fmt.Errorf("making Caddy's configuration: %w", err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		return fmt.Errorf("writing Caddy's configuration: %w", err)
	}
	return nil
}
