// The function app: its plan, its settings, and who may sign in.
param name string
param location string
param tags object
param identityId string
param identityClientId string
param subnetId string
param hostAccountName string
param packageUrl string
param insightsConnection string
param durableSettings object
param taskHub string
param callbackReference string
param webhookReference string
param dataAccountName string

@description('<subscription>/<resource group>/<cluster>')
param defaultCluster string

param namespace string
param registryName string

@allowed(['easyauth', 'jwt'])
param authMode string
param authTenantId string
param authClientId string

@minValue(0)
@description('Instances for orchestrations that are always there; each is paid for by the hour.')
param alwaysReadyDurable int

@minValue(1)
param maximumInstances int

@allowed([512, 2048, 4096])
param instanceMemoryMB int

var host = loadJsonContent('../../host.json').extensions
// A thread for every activity and orchestrator that the host may give an instance at once; docs/monitoring.md.
var threads = host.durableTask.maxConcurrentActivityFunctions + host.durableTask.maxConcurrentOrchestratorFunctions
var audiences = [authClientId, 'api://${authClientId}']
// The app proves to Entra who it is by its identity, not by a secret.
var signInSetting = 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: 'plan-${name}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    tier: 'FlexConsumption'
    name: 'FC1'
  }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: union(tags, { 'azd-service-name': 'api' })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identityId}': {} }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: subnetId
    siteConfig: { minTlsVersion: '1.2' }
    functionAppConfig: {
      runtime: {
        name: 'python'
        version: '3.13'
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstances
        instanceMemoryMB: instanceMemoryMB
        triggers: {
          http: { perInstanceConcurrency: host.http.maxConcurrentRequests }
        }
        alwaysReady: alwaysReadyDurable == 0 ? [] : [{ name: 'durable', instanceCount: alwaysReadyDurable }]
      }
    }
  }

  resource settings 'config' = {
    name: 'appsettings'
    properties: union(loadJsonContent('../app-settings.json'), durableSettings, {
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
      APPLICATIONINSIGHTS_CONNECTION_STRING: insightsConnection
      AUTH_AUDIENCE: join(audiences, ',')
      AUTH_MODE: authMode
      AUTH_TENANT_ID: authTenantId
      AZURE_CLIENT_ID: identityClientId
      AzureWebJobsDisableHomepage: 'true'
      AzureWebJobsStorage__accountName: hostAccountName
      AzureWebJobsStorage__clientId: identityClientId
      AzureWebJobsStorage__credential: 'managedidentity'
      ELB_ACR_NAME: registryName
      ELB_CALLBACK_SECRET: callbackReference
      ELB_DEFAULT_CLUSTER: defaultCluster
      ELB_DEFAULT_STORAGE_ACCOUNT: dataAccountName
      ELB_NAMESPACE: namespace
      ELB_REGION: location
      ELB_TASK_HUB: taskHub
      ELB_WEBHOOK_SECRET: webhookReference
      OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID: identityClientId
      PYTHON_THREADPOOL_THREAD_COUNT: string(threads)
    })
  }

  // Requests come in without a sign-in as well, and the app itself refuses: a path with a variable in it cannot be
  // excluded here. With bearer tokens the app checks everything, and the platform keeps out of it.
  resource signIn 'config' = {
    name: 'authsettingsV2'
    properties: {
      platform: {
        enabled: authMode == 'easyauth'
        runtimeVersion: '~1'
      }
      globalValidation: {
        requireAuthentication: false
        unauthenticatedClientAction: 'AllowAnonymous'
      }
      httpSettings: { requireHttps: true }
      identityProviders: {
        azureActiveDirectory: {
          enabled: true
          registration: {
            openIdIssuer: '${environment().authentication.loginEndpoint}${authTenantId}/v2.0'
            clientId: authClientId
            clientSecretSettingName: signInSetting
          }
          validation: { allowedAudiences: audiences }
        }
      }
      login: {
        tokenStore: { enabled: false }
      }
    }
    dependsOn: [settings]
  }

  // No publishing by user name and password: a deployment signs in with Entra.
  resource publishing 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }

  resource transfer 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }
}

output name string = app.name
output url string = 'https://${app.properties.defaultHostName}'
