package domicile

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/internal/topology/topologyfile"
)

// prefix begins the names of context values that are a deployment's.
const prefix = "domicile:"

// values reads context values. The first that is not what it should be is its error.
type values struct {
	node constructs.Node
	err  error
}

// FromContext reads a deployment's configuration from an app's context (cdk.json, and cdk's -c) and environment.
func FromContext(node constructs.Node) (Config, error) {
	v := &values{node: node}
	cfg := Config{
		Name:         v.text("name"),
		Account:      v.text("account"),
		Accounts:     v.texts("accounts"),
		Domain:       v.domain(),
		Unprotected:  !v.flag("protect"),
		AnyWriter:    !v.flag("writerCondition"),
		Functions:    v.text("functions"),
		Architecture: v.text("architecture"),
		Image:        v.text("image"),
		LogDays:      v.number("logDays"),
		Operators:    v.list("operators"),
		AlarmEmail:   v.text("alarmEmail"),
	}
	if cfg.Account == "" {
		cfg.Account = os.Getenv("CDK_DEFAULT_ACCOUNT") // The CDK command says whose credentials it has.
	}
	if v.err != nil {
		return cfg, v.err
	}
	data, err := topologyFile(v.text("topology"))
	cfg.Topology = data
	return cfg, err
}

// topologyFile reads the file that the context or the environment names; without either, it is the one built in.
func topologyFile(path string) ([]byte, error) {
	if path == "" {
		path = os.Getenv("DOMICILE_TOPOLOGY")
	}
	if path == "" {
		return topologyfile.DefaultYAML(), nil
	}
	return topologyfile.ReadFile(path)
}

func (v *values) get(name string) any { return v.node.TryGetContext(jsii.String(prefix + name)) }

func (v *values) refuse(name, want string) {
	if v.err == nil {
		v.err = fmt.Errorf("the context value %s%s is not %s", prefix, name, want)
	}
}

func (v *values) text(name string) string {
	switch value := v.get(name).(type) {
	case nil:
		return ""
	case string:
		return value
	default:
		v.refuse(name, "a text")
		return ""
	}
}

// flag is true unless the context says false.
func (v *values) flag(name string) bool {
	switch value := v.get(name).(type) {
	case nil:
		return true
	case bool:
		return value
	case string: // As -c gives it.
		set, err := strconv.ParseBool(value)
		if err != nil {
			v.refuse(name, "true or false")
		}
		return set
	default:
		v.refuse(name, "true or false")
		return true
	}
}

func (v *values) number(name string) int {
	switch value := v.get(name).(type) {
	case nil:
		return 0
	case float64:
		return int(value)
	case string:
		n, err := strconv.Atoi(value)
		if err != nil && value != "" {
			v.refuse(name, "a whole number")
		}
		return n
	default:
		v.refuse(name, "a whole number")
		return 0
	}
}

// list reads a list of texts, or texts with commas between, as -c gives them.
func (v *values) list(name string) []string {
	var all []string
	switch value := v.get(name).(type) {
	case nil:
	case []any:
		for _, entry := range value {
			text, ok := entry.(string)
			if !ok {
				v.refuse(name, "a list of texts")
			}
			all = append(all, text)
		}
	case string:
		all = strings.FieldsFunc(value, func(c rune) bool { return c == ',' || c == ' ' })
	default:
		v.refuse(name, "a list of texts")
	}
	return all
}

// texts reads a map of texts, or JSON of one, as -c gives it.
func (v *values) texts(name string) map[string]string {
	all := map[string]string{}
	switch value := v.get(name).(type) {
	case nil:
	case map[string]any:
		for key, entry := range value {
			text, ok := entry.(string)
			if !ok {
				v.refuse(name, "a map of texts")
			}
			all[key] = text
		}
	case string:
		if value != "" && json.Unmarshal([]byte(value), &all) != nil {
			v.refuse(name, "a map of texts")
		}
	default:
		v.refuse(name, "a map of texts")
	}
	return all
}

// domain reads the domain; nil when there is none.
func (v *values) domain() *Domain {
	name := v.text("domain")
	if name == "" {
		return nil
	}
	return &Domain{Name: name, Zone: v.text("zone"), Zones: v.texts("zones")}
}
