package domicile

import (
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/aws/constructs-go/constructs/v10"
)

// Platform is all stacks of a deployment. Of a deployment without a domain only Global and Data are there.
type Platform struct {
	Global *GlobalStack
	// Data, Compute, DNS and Alarms have the stacks of each region, by its id.
	Data      map[string]*DataStack
	Compute   map[string]*ComputeStack
	DNS       map[string]*DNSStack
	Alarms    map[string]*AlarmStack
	GlobalDNS *GlobalDNSStack
}

// NewPlatform makes all stacks of a deployment in an app, and their order.
func NewPlatform(app constructs.Construct, d *Deployment) (*Platform, error) {
	p := &Platform{
		Global: NewGlobalStack(app, d), Data: map[string]*DataStack{}, Compute: map[string]*ComputeStack{},
		DNS: map[string]*DNSStack{}, Alarms: map[string]*AlarmStack{},
	}
	for _, r := range d.Regions() {
		p.Data[r.ID] = NewDataStack(app, d, r)
		if d.ManyAccounts() && !r.Control {
			p.Data[r.ID].Stack.AddStackDependency(p.Global.Stack, nil)
		}
	}
	if d.cfg.Domain == nil {
		return p, nil
	}
	for _, r := range d.Regions() {
		compute, err := NewComputeStack(app, d, r, p.Data[r.ID])
		if err != nil {
			return nil, err
		}
		compute.Stack.AddStackDependency(p.Global.Stack, nil)
		p.Compute[r.ID], p.DNS[r.ID] = compute, NewDNSStack(app, d, r, compute)
		p.Alarms[r.ID] = NewAlarmStack(app, d, r, p.Data[r.ID], compute)
	}
	p.GlobalDNS = NewGlobalDNSStack(app, d)
	return p, nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// kebab turns a logical id into words with "-" between.
func kebab(id string) string {
	var b strings.Builder
	for i, c := range id {
		if unicode.IsUpper(c) && i > 0 {
			b.WriteByte('-')
		}
		b.WriteRune(unicode.ToLower(c))
	}
	return b.String()
}
