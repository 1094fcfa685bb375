package domicile

import (
	"strconv"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/jsii-runtime-go"
)

// targets are the target groups of a region's tasks, and what must be there before tasks can join them.
type targets struct {
	services, servicesGRPC    awselasticloadbalancingv2.CfnTargetGroup
	edge, edgeGRPC, edgeReady awselasticloadbalancingv2.CfnTargetGroup
	// operations is nil where no network of operators is named.
	operations               awselasticloadbalancingv2.CfnTargetGroup
	listener                 awselasticloadbalancingv2.CfnListener
	servicesRules, edgeRules []awscdk.CfnResource
}

// Header and path that services are reached with. The load balancer sees to it that the header is there, the guard in the service that it
// is signed and true.
const (
	routeHeader = "Domicile-Route"
	peerPath    = "/domicile.peer.v1.*"
	healthPath  = "/readyz"
	grpcHealth  = "/grpc.health.v1.Health/Check"
)

// newLoadBalancer makes the load balancer of a region. Under the services' name it passes calls with a route header and calls of the peer
// service; under the names for gRPC it passes everything to the edge. Whatever else comes gets 403 from the load balancer itself.
func (s *ComputeStack) newLoadBalancer(n *network, certificate awscertificatemanager.CfnCertificate) *targets {
	s.LoadBalancer = awselasticloadbalancingv2.NewCfnLoadBalancer(s.Stack, jsii.String("Balancer"), &awselasticloadbalancingv2.CfnLoadBalancerProps{
		Name: jsii.String(s.d.cfg.Name), Type: jsii.String("application"), Scheme: jsii.String("internet-facing"), Subnets: &n.public,
		SecurityGroups: &[]any{n.balancer.AttrGroupId()},
		LoadBalancerAttributes: []any{
			attribute("deletion_protection.enabled", strconv.FormatBool(!s.d.cfg.Unprotected)),
			attribute("routing.http.drop_invalid_header_fields.enabled", "true"),
			attribute("routing.http.desync_mitigation_mode", "strictest"),
			attribute("routing.http2.enabled", "true"),
			// Longer than any stream's own heartbeat.
			attribute("idle_timeout.timeout_seconds", "120"),
		},
	})
	exempt(
		s.LoadBalancer,
		exemption{"CKV_AWS_91", "access logs hold callers' addresses and paths; the platform's own, without them, are in the log groups"},
	)
	listener := awselasticloadbalancingv2.NewCfnListener(s.Stack, jsii.String("Listener"), &awselasticloadbalancingv2.CfnListenerProps{
		LoadBalancerArn: s.LoadBalancer.Ref(), Port: jsii.Number(443), Protocol: jsii.String("HTTPS"),
		SslPolicy:    jsii.String("ELBSecurityPolicy-TLS13-1-2-2021-06"),
		Certificates: []any{map[string]any{"certificateArn": certificate.Ref()}},
		DefaultActions: []any{map[string]any{
			"type":                "fixed-response",
			"fixedResponseConfig": map[string]any{"statusCode": "403", "contentType": "text/plain", "messageBody": "not routed"},
		}},
	})
	untag(listener)
	t := &targets{listener: listener}
	t.services = s.newTargets(n, "Services", "HTTP1", s.Region.Port)
	t.servicesGRPC = s.newTargets(n, "ServicesGrpc", "GRPC", s.Region.Port)
	t.edge = s.newTargets(n, "Edge", "HTTP1", s.Region.Port)
	t.edgeGRPC = s.newTargets(n, "EdgeGrpc", "GRPC", s.Region.Port)
	t.edgeReady = s.newTargets(n, "EdgeReady", "HTTP1", s.Region.Port+operationsOffset)
	if len(s.d.cfg.Operators) > 0 {
		t.operations = s.newTargets(n, "Operations", "HTTP1", s.Region.Port+operationsOffset)
	}
	s.newRules(t)
	return t
}

func attribute(key, value string) map[string]any { return map[string]any{"key": key, "value": value} }

// newTargets makes a target group. From the load balancer to the tasks calls go in the clear, inside the network.
func (s *ComputeStack) newTargets(n *network, id, version string, port int) awselasticloadbalancingv2.CfnTargetGroup {
	props := &awselasticloadbalancingv2.CfnTargetGroupProps{
		VpcId: n.vpc.Ref(), TargetType: jsii.String("ip"), Protocol: jsii.String("HTTP"), ProtocolVersion: jsii.String(version),
		Port: jsii.Number(port), HealthCheckEnabled: true, HealthCheckIntervalSeconds: jsii.Number(10), HealthyThresholdCount: jsii.Number(2),
		UnhealthyThresholdCount: jsii.Number(2), HealthCheckTimeoutSeconds: jsii.Number(5),
		TargetGroupAttributes: []any{attribute("deregistration_delay.timeout_seconds", "60")},
	}
	if version == "GRPC" {
		props.HealthCheckPath, props.Matcher = jsii.String(grpcHealth), map[string]any{"grpcCode": "0"}
	} else {
		props.HealthCheckPath, props.Matcher = jsii.String(healthPath), map[string]any{"httpCode": "200"}
		props.HealthCheckPort = jsii.String(strconv.Itoa(s.Region.Port + operationsOffset))
	}
	group := awselasticloadbalancingv2.NewCfnTargetGroup(s.Stack, jsii.String(id+"Targets"), props)
	return group
}

// newRules makes the listener's rules, in the order in which they are tried.
func (s *ComputeStack) newRules(t *targets) {
	d, r := s.d, s.Region
	services := hosts(d.ServicesName(r))
	edges := hosts(d.GRPCName(r), d.GlobalGRPCName())
	grpc := header("Content-Type", "application/grpc*")
	// A value of at least one character: a header without one is none.
	routed := header(routeHeader, "?*")
	rule := func(priority int, id string, to awselasticloadbalancingv2.CfnTargetGroup, conditions ...any) awscdk.CfnResource {
		made := awselasticloadbalancingv2.NewCfnListenerRule(s.Stack, jsii.String(id), &awselasticloadbalancingv2.CfnListenerRuleProps{
			ListenerArn: t.listener.Ref(), Priority: jsii.Number(priority), Conditions: conditions,
			Actions: []any{map[string]any{"type": "forward", "targetGroupArn": to.Ref()}},
		})
		untag(made)
		return made
	}
	t.servicesRules = []awscdk.CfnResource{
		rule(10, "PeersToServices", t.services, services, paths(peerPath)),
		rule(20, "RoutedGrpcToServices", t.servicesGRPC, services, routed, grpc),
		rule(30, "RoutedToServices", t.services, services, routed),
	}
	if t.operations != nil {
		t.servicesRules = append(t.servicesRules, rule(70, "OperatorsToServices", t.operations, hosts(d.OperationsName(r)), sources(d.cfg.Operators)))
	}
	t.edgeRules = []awscdk.CfnResource{
		rule(40, "ReadinessOfEdge", t.edgeReady, hosts(d.GRPCName(r)), paths(healthPath)),
		rule(50, "GrpcToEdge", t.edgeGRPC, edges, grpc),
		rule(60, "StreamsToEdge", t.edge, edges),
	}
}

func hosts(names ...string) any {
	return map[string]any{"field": "host-header", "hostHeaderConfig": map[string]any{"values": names}}
}

func paths(patterns ...string) any {
	return map[string]any{"field": "path-pattern", "pathPatternConfig": map[string]any{"values": patterns}}
}

func sources(networks []string) any {
	return map[string]any{"field": "source-ip", "sourceIpConfig": map[string]any{"values": networks}}
}

func header(name, pattern string) any {
	return map[string]any{
		"field": "http-header", "httpHeaderConfig": map[string]any{"httpHeaderName": name, "values": []string{pattern}},
	}
}
