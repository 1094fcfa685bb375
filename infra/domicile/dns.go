package domicile

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsroute53"
	"github.com/aws/constructs-go/constructs/v10"
	"github.com/aws/jsii-runtime-go"
)

// DNSStack has the names of a region: where clients, gRPC clients, edges and peers reach it.
type DNSStack struct{ Stack awscdk.Stack }

// NewDNSStack makes the stack of a region.
func NewDNSStack(scope constructs.Construct, d *Deployment, r Region, compute *ComputeStack) *DNSStack {
	stack := newStack(scope, d, r, "dns-"+r.ID, "Names of "+r.ID+".")
	stack.AddStackDependency(compute.Stack, nil)
	region, global, balancer := compute.RegionDomain, compute.GlobalDomain, compute.LoadBalancer
	for _, record := range []struct {
		id, name     string
		target, zone *string
	}{
		{"Region", d.RegionName(r), region.AttrRegionalDomainName(), region.AttrRegionalHostedZoneId()},
		// The API tells its names apart by address, so the global one has a way in of its own.
		{"Entry", d.entryName(r), global.AttrRegionalDomainName(), global.AttrRegionalHostedZoneId()},
		{"Grpc", d.GRPCName(r), balancer.AttrDnsName(), balancer.AttrCanonicalHostedZoneId()},
		{"Services", d.ServicesName(r), balancer.AttrDnsName(), balancer.AttrCanonicalHostedZoneId()},
		{"Operations", d.OperationsName(r), balancer.AttrDnsName(), balancer.AttrCanonicalHostedZoneId()},
	} {
		awsroute53.NewCfnRecordSet(stack, jsii.String(record.id), &awsroute53.CfnRecordSetProps{
			HostedZoneId: jsii.String(d.zoneOf(r)), Name: jsii.String(record.name), Type: jsii.String("A"),
			AliasTarget: map[string]any{"dnsName": record.target, "hostedZoneId": record.zone, "evaluateTargetHealth": false},
		})
	}
	return &DNSStack{Stack: stack}
}

// GlobalDNSStack has the global names, which lead to the nearest region that is well.
type GlobalDNSStack struct{ Stack awscdk.Stack }

// NewGlobalDNSStack makes the stack, in the control region. It knows the regions by name alone and can be made before any of them.
func NewGlobalDNSStack(scope constructs.Construct, d *Deployment) *GlobalDNSStack {
	stack := newStack(scope, d, d.Control(), "dns", "The global names.")
	for _, r := range d.Regions() {
		health := awsroute53.NewCfnHealthCheck(stack, jsii.String("Health"+pascal(r.ID)), &awsroute53.CfnHealthCheckProps{
			HealthCheckConfig: map[string]any{
				"type": "HTTPS", "fullyQualifiedDomainName": d.GRPCName(r), "port": 443, "resourcePath": healthPath, "enableSni": true,
				"requestInterval": 10, "failureThreshold": 3,
			},
		})
		for _, global := range []struct{ id, name, to string }{
			{"Api", d.cfg.Domain.Name, d.entryName(r)}, {"Grpc", d.GlobalGRPCName(), d.GRPCName(r)},
		} {
			awsroute53.NewCfnRecordSet(stack, jsii.String(global.id+pascal(r.ID)), &awsroute53.CfnRecordSetProps{
				HostedZoneId: jsii.String(d.cfg.Domain.Zone), Name: jsii.String(global.name), Type: jsii.String("CNAME"), Ttl: jsii.String("60"),
				ResourceRecords: texts(global.to), Region: jsii.String(r.ID), SetIdentifier: jsii.String(r.ID), HealthCheckId: health.Ref(),
			})
		}
	}
	return &GlobalDNSStack{Stack: stack}
}
