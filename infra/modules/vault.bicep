// The two secrets that the app signs with. The app may read these two and no others.
param name string
param location string
param tags object
param principalId string
param publicAccess bool

@secure()
param callbackSecret string

@secure()
@description('Empty: webhooks are off, and there is no such secret.')
param webhookSecret string

var roles = loadJsonContent('../roles.json')
var reads = subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsUser)

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' = {
  name: name
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: { family: 'A', name: 'standard' }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 7
    publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
    networkAcls: {
      defaultAction: publicAccess ? 'Allow' : 'Deny'
      bypass: 'AzureServices'
    }
  }
}

resource callback 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = {
  parent: vault
  name: 'callback-secret'
  properties: { value: callbackSecret }
}

resource webhook 'Microsoft.KeyVault/vaults/secrets@2023-07-01' = if (!empty(webhookSecret)) {
  parent: vault
  name: 'webhook-secret'
  properties: { value: webhookSecret }
}

resource appReadsCallback 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(callback.id, principalId, roles.keyVaultSecretsUser)
  scope: callback
  properties: {
    roleDefinitionId: reads
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

resource appReadsWebhook 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(webhookSecret)) {
  name: guid(webhook.id, principalId, roles.keyVaultSecretsUser)
  scope: webhook
  properties: {
    roleDefinitionId: reads
    principalId: principalId
    principalType: 'ServicePrincipal'
  }
}

output id string = vault.id
// Without a version: what is written anew is read within a day, or at once after a restart.
output callbackReference string = '@Microsoft.KeyVault(SecretUri=${vault.properties.vaultUri}secrets/callback-secret)'
// It depends on whether there is a secret, and does not hold it.
#disable-next-line outputs-should-not-contain-secrets
output webhookReference string = empty(webhookSecret)
  ? ''
  : '@Microsoft.KeyVault(SecretUri=${vault.properties.vaultUri}secrets/webhook-secret)'
