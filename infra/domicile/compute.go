package domicile

import (
	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awselasticloadbalancingv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/constructs-go/constructs/v10"

	"github.com/domicile-api/domicile/infra/access"
)

// ComputeStack has what runs in a region: functions, the HTTP API before one of them, the Fargate services and their load balancer.
type ComputeStack struct {
	Stack     awscdk.Stack
	Region    Region
	Functions map[access.Process]awslambda.CfnFunction
	API       awsapigatewayv2.CfnApi
	// RegionDomain and GlobalDomain are the API's names: the region's own and the global one.
	RegionDomain, GlobalDomain awsapigatewayv2.CfnDomainName
	LoadBalancer               awselasticloadbalancingv2.CfnLoadBalancer

	d        *Deployment
	data     *DataStack
	failures awssqs.CfnQueue
}

// NewComputeStack makes the stack of a region. It fails if the deployment has no domain or a function was not built.
func NewComputeStack(scope constructs.Construct, d *Deployment, r Region, data *DataStack) (*ComputeStack, error) {
	if d.cfg.Domain == nil {
		return nil, errNoDomain
	}
	s := &ComputeStack{
		Stack: newStack(scope, d, r, "compute-"+r.ID, "Functions and services of "+r.ID+"."), Region: r,
		Functions: map[access.Process]awslambda.CfnFunction{}, d: d, data: data,
	}
	s.Stack.AddStackDependency(data.Stack, nil)
	if err := s.newFunctions(); err != nil {
		return nil, err
	}
	certificate := s.newCertificate()
	s.newAPI(certificate)
	network := newNetwork(s.Stack, d, r)
	listener := s.newLoadBalancer(network, certificate)
	s.newTasks(network, listener)
	return s, nil
}
