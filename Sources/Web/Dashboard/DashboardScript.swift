let dashboardScript = ""
