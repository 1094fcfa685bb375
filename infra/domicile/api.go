package domicile

import (
	"github.com/aws/aws-cdk-go/awscdk/v2/awsapigatewayv2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscertificatemanager"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/jsii-runtime-go"

	"github.com/domicile-api/domicile/infra/access"
)

// newAPI makes the HTTP API before the edge function: unary REST and Connect, under the region's own name and the global one.
func (s *ComputeStack) newAPI(certificate awscertificatemanager.CfnCertificate) {
	edge := s.Functions[access.Edge]
	s.API = awsapigatewayv2.NewCfnApi(s.Stack, jsii.String("Api"), &awsapigatewayv2.CfnApiProps{
		Name: jsii.String(s.d.name("edge")), ProtocolType: jsii.String("HTTP"),
		// Only by its names, so that every call is one that the topology knows.
		DisableExecuteApiEndpoint: true,
	})
	integration := awsapigatewayv2.NewCfnIntegration(s.Stack, jsii.String("ApiToEdge"), &awsapigatewayv2.CfnIntegrationProps{
		ApiId: s.API.Ref(), IntegrationType: jsii.String("AWS_PROXY"), IntegrationUri: edge.AttrArn(), PayloadFormatVersion: jsii.String("2.0"),
	})
	// Callers are known by their API keys, which the home region's services check; the edge decides a route alone.
	awsapigatewayv2.NewCfnRoute(s.Stack, jsii.String("ApiRoute"), &awsapigatewayv2.CfnRouteProps{
		ApiId: s.API.Ref(), RouteKey: jsii.String("$default"), Target: jsii.String("integrations/" + *integration.Ref()),
		AuthorizationType: jsii.String("NONE"),
	})
	stage := s.newStage()
	awslambda.NewCfnPermission(s.Stack, jsii.String("AllowApi"), &awslambda.CfnPermissionProps{
		Action: jsii.String("lambda:InvokeFunction"), FunctionName: edge.Ref(), Principal: jsii.String("apigateway.amazonaws.com"),
		SourceArn: jsii.String(arn(s.Region, "execute-api", *s.API.Ref()+"/*/$default")),
	})
	s.RegionDomain = s.newAPIName("Region", s.d.RegionName(s.Region), certificate, stage)
	s.GlobalDomain = s.newAPIName("Global", s.d.cfg.Domain.Name, certificate, stage)
}

// accessLog is what the API writes of a call: no address, no path, no query, no header.
const accessLog = `{"request":"$context.requestId","method":"$context.httpMethod","status":"$context.status",` +
	`"milliseconds":"$context.responseLatency","bytes":"$context.responseLength","error":"$context.integrationErrorMessage"}`

func (s *ComputeStack) newStage() awsapigatewayv2.CfnStage {
	group := s.logGroupNamed("ApiLogs", "/"+s.d.cfg.Name+"/http-api")
	return awsapigatewayv2.NewCfnStage(s.Stack, jsii.String("ApiStage"), &awsapigatewayv2.CfnStageProps{
		ApiId: s.API.Ref(), StageName: jsii.String("$default"), AutoDeploy: true,
		AccessLogSettings:    map[string]any{"destinationArn": group.AttrArn(), "format": accessLog},
		DefaultRouteSettings: map[string]any{"detailedMetricsEnabled": true, "throttlingBurstLimit": 2000, "throttlingRateLimit": 1000},
	})
}

func (s *ComputeStack) newAPIName(
	id, name string, certificate awscertificatemanager.CfnCertificate, stage awsapigatewayv2.CfnStage,
) awsapigatewayv2.CfnDomainName {
	domain := awsapigatewayv2.NewCfnDomainName(s.Stack, jsii.String("Api"+id+"Name"), &awsapigatewayv2.CfnDomainNameProps{
		DomainName: jsii.String(name),
		DomainNameConfigurations: []any{map[string]any{
			"certificateArn": certificate.Ref(), "endpointType": "REGIONAL", "securityPolicy": "TLS_1_2",
		}},
	})
	awsapigatewayv2.NewCfnApiMapping(s.Stack, jsii.String("Api"+id+"Mapping"), &awsapigatewayv2.CfnApiMappingProps{
		ApiId: s.API.Ref(), DomainName: domain.Ref(), Stage: stage.Ref(),
	})
	return domain
}
