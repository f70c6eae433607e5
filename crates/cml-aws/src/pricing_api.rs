//! AWS's list prices, by its Price List Query API. <https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html>

use cml_cloud::{CloudError, UsdPerGibMonth, UsdPerHour};
use cml_ec2::answers::prices::{self, Product, in_force};
use cml_prices::{OnDemandPrice, VolumePrice};
use serde_json::{Value, json};

use crate::cloud::AwsCloud;
use crate::pages::{Pages, incomplete};

/// Page size; the maximum.
const PAGE: u32 = 100;

impl AwsCloud {
    /// Returns the current on-demand prices of these types in a region (Linux, shared tenancy), with the times from
    /// which they hold. Types that are not sold there are missing. Needs the permission `pricing:GetProducts`.
    ///
    /// # Errors
    /// As AWS answers; a part of the answer is never returned.
    pub async fn on_demand_prices(
        &self,
        region: &str,
        types: &[String],
    ) -> Result<Vec<OnDemandPrice>, CloudError> {
        let mut prices = Vec::new();
        for name in types {
            let doing = format!("asking for the list price of {name} in {region}");
            let filters = [
                ("regionCode", region),
                ("instanceType", name),
                ("operatingSystem", "Linux"),
                ("tenancy", "Shared"),
                ("preInstalledSw", "NA"),
                ("capacitystatus", "Used"),
            ];
            let mut products = self.products(&doing, &filters).await?;
            products.retain(|product| product.is_plain_machine(name));
            let listed = in_force(&products, "Hrs").map_err(|why| incomplete(&doing, &why))?;
            prices.extend(listed.map(|(effective, price)| OnDemandPrice {
                region: region.to_owned(),
                instance_type: name.clone(),
                price: UsdPerHour(price),
                effective,
            }));
        }
        Ok(prices)
    }

    /// Returns the current price of gp3 storage in a region, with the time from which it holds. Needs the permission
    /// `pricing:GetProducts`.
    ///
    /// # Errors
    /// As AWS answers.
    pub async fn volume_price(&self, region: &str) -> Result<Option<VolumePrice>, CloudError> {
        let doing = format!("asking for the list price of gp3 storage in {region}");
        let filters = [("regionCode", region), ("productFamily", "Storage"), ("volumeApiName", "gp3")];
        let products = self.products(&doing, &filters).await?;
        let listed = in_force(&products, "GB-Mo").map_err(|why| incomplete(&doing, &why))?;
        let region = region.to_owned();
        Ok(listed.map(|(effective, price)| VolumePrice { region, price: UsdPerGibMonth(price), effective }))
    }

    async fn products(&self, doing: &str, filters: &[(&str, &str)]) -> Result<Vec<Product>, CloudError> {
        let client = self.clients.pricing();
        let filters: Vec<Value> = filters
            .iter()
            .map(|(field, value)| json!({"Type": "TERM_MATCH", "Field": field, "Value": value}))
            .collect();
        let mut products = Vec::new();
        let mut pages = Pages::default();
        loop {
            let mut parameters = json!({"ServiceCode": "AmazonEC2", "MaxResults": PAGE, "Filters": filters});
            if let Some(token) = pages.token() {
                parameters["NextToken"] = token.into();
            }
            let answer = client.ask("GetProducts", &parameters, doing).await?;
            let page = prices::listed(&answer).map_err(|why| incomplete(doing, &why))?;
            products.extend(page.items);
            if !pages.follow(doing, page.next.as_deref())? {
                return Ok(products);
            }
        }
    }
}
